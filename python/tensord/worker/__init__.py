"""What runs inside a Python worker: the models of one process, and the bridge to its host."""
