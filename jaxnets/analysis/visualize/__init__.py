"""Looking inside CNNs (report S3 Q1 and Q2). Each module computes one view as arrays; jaxnets.analysis.report.image_sheets
draws them.

What is looked into is a function from images with pixels in [0, 1] to arrays by layer (see
jaxnets.analysis.visualize.cnn), so nothing here knows an architecture.
"""
