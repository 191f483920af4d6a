"""What token identity explains: same-token test, expected and residual routing, information."""
