"""Three counters of parameters and MACs that must agree as integers.

``closed_form``   arithmetic from the printed table, no torch
``with_torch``    the network that runs, on the meta device, by torch's own formulas; ``tracing`` does it layer by layer
``with_fvcore``   fvcore's convolution and linear counts on real tensors
"""
