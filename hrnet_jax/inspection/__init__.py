"""Networks as tables and pictures: parameters, multiply-adds, memory, shapes."""
