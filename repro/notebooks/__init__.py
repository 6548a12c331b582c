"""Notebooks of the course, each in English and in Korean from one file of steps.

``resnet20.toml``                       the steps: text in both languages, code, and nothing else to edit
``writing.py``                          steps -> notebook
``resnet20.en.ipynb resnet20.ko.ipynb`` written by ``repro report``
"""
