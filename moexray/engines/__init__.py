"""Who runs the model and hears its routers; every engine yields routed sequences."""
