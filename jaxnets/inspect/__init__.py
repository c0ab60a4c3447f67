"""Looking inside CNNs (report S3 Q1 and Q2). Each module computes one view as arrays; jaxnets.report.pictures draws them.

What is looked into is a function from images with pixels in [0, 1] to arrays by layer (see jaxnets.inspect.cnn), so nothing
here knows an architecture.
"""
