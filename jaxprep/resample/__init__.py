"""Resampling as tap tables: filters, references, tables, passes."""
