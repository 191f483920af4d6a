"""Published claims about expert routing, each checked against an analysis."""
