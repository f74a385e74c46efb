"""Measuring latency tables: plan, rounds of visits, estimates, correction, proof.

`plan` says which models to measure, `rounds` measures them and writes every visit to a file of
samples, `estimates` turns samples into milliseconds with intervals, `calibration` corrects for
the boundaries between units, `tabulate` makes the table and `validation` proves it. A device that
only measures needs `samples`, `rounds`, `estimates`, `machine` and a backend, and of the packages
numpy and the runtime alone.
"""
