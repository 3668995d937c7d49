"""What is behind the metrics of an evaluation: which people are missed, and what is found instead.

`report_of` makes the numbers, `plots` and `page` show them, `contact_sheet` shows the worst images.
"""
