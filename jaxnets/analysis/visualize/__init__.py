"""Views inside CNNs (report S3 Q1 and Q2). Each module computes one view as arrays; jaxnets.analysis.report.image_sheets
draws them.

The views take a net as functions from images with pixels in [0, 1] to the outputs of layers (see
jaxnets.analysis.visualize.network), so none depends on an architecture.
"""
