"""From pictures and texts to tensors and back: what goes into a model.py beside the net, a file a task of jaxnets.tasks.

The constants in capitals stand for those of a run, which replace them. What jaxnets.data does without NumPy to a text is
used as it is: its source goes into the model.py too.
"""
