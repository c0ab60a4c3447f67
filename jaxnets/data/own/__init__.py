"""Data of the user's own: pictures, texts and tables that `--data.source` names by their path, and pictures of TFDS.

`source` tells own sources from the catalog's names, prepares them once and opens them. What is read, and how, is up to the
kind of the experiment's data: its config names one of the other modules as `reader`. A reader has

  OPTIONS                        fields of the config on which the result depends
  read(config, path, report)     the data, as a `Content`; raises UserError for what it cannot read

and may have `check(config, dataset)`, for what depends on fields that the stored arrays do not.
"""
