"""Statistics of single experts: specialisation, co-activation, and comparison of two routers."""
