"""Whether categories of prompts differ: nulls, classifiers, controls, clusters."""
