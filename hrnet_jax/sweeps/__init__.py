"""Sweeps: many runs of one experiment, with Optuna choosing what differs.

`space` reads what is varied, `study` keeps what was tried (in a bucket as a `journal`),
`claims` has every trial trained by one worker, `worker` trains, `workers` starts several
of them on a host, `progress` tells how far they are; `collecting`, `tables` and `plots` show what came out.
"""
