"""The reports: pages and figures that ``repro report`` writes from the tables and claims. There are only in a checkout."""
