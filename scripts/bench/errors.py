from lambda_image.errors import RunError


class BenchmarkError(RunError):
    """Something was to be measured and could not be."""
