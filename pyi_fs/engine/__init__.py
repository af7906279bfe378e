"""The one mutable thing: current trees, and what runs beside them."""
