"""The networks of the pipeline, in torch. Only training and conversion import this package."""
