"""Measuring latency tables: plan → samples → estimates → table → validation.

`plan` says which models to measure, `rounds` measures them and writes every repetition to a file of
samples, `estimates` turns samples into milliseconds with intervals, `correction_fit` and
`operator_fit` learn from them, `tabulate` makes the table and `validation` validates it. A device
that only measures needs a bundle, Python, numpy and the runtime.
"""
