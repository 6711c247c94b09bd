"""Memory and time of a run on TPUs, found out without one."""
