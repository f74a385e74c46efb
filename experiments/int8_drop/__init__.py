"""What networks lose in int8: a model of few numbers, fitted on published and measured losses."""
