"""Statistics of token identity: same-token test, expected and residual routing, information."""
