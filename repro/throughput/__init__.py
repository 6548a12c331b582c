"""Timings of networks as records hold them, and what follows from them. ``bench`` measures; nothing here runs a network.

``timing``      one timed configuration, and the session that it belongs to
``doubt``       what may be wrong with a number: noise, spread, rules that rows must keep
``comparing``   two rows or two files, and whether they may be compared
``steps``       the speed-up ladder, from eager float32 on
``traffic``     least bytes that a network moves, for the roofline
``planner``     days that each paper's training recipe takes
``crossover``   the batch from which a GPU is faster than the CPU
``lines``       a session for the terminal, and as JSON
``pytest_json`` what pytest-benchmark wrote, as a session
"""
