"""The pages, one module each. A page is a function of the judged ledger that returns Markdown."""
