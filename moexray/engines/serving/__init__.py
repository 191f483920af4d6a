"""What engines share that serve a model by another program: facts of the model, and what they make of its routing."""
