"""Analysis of runs and trained nets: reports, views inside CNNs, reading pages, numerical checks of theory."""
