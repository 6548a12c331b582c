"""Networks as people write them: right ones in several styles, and each kind of fault once. All code is our own."""
