"""What a run will need and take on TPUs, found out without one."""
