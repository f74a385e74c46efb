"""Devices: each file here is a way to where models are run, and is that way's name.

The rest of a measurement (plan, rounds, samples, table, validation) does not know which one it is;
see `nas.latency.measure.run.Device`.
"""
