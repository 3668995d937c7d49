"""Images of people in COCO format, as training reads them."""
