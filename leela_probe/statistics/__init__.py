"""Estimates, intervals and tests over tables of effects, resampled by game.

Takes tables as they are and knows neither chess nor networks.
"""
