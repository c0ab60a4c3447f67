"""Looking at runs and at trained nets: reports, pictures of what is inside CNNs, reading pages, theory."""
