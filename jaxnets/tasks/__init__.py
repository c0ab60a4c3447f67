"""Tasks, a module each: how data becomes batches, what a model is trained and judged by, and what it is for once it is
trained.

A config names its task's module, which has two parts:

    build(experiment, dataset) -> Task
    Predictor                      a PredictorBase whose methods answer questions
"""
