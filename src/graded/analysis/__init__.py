"""Agreement, balance, tau, statistics, calibration, figures: pure functions over tables."""
