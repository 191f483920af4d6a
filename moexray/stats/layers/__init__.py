"""Statistics of each layer: the category effect, its trend with depth and its peak, and the balance of load."""
