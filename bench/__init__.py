"""How fast it runs. Ratios against peers within one run; never a gate."""
