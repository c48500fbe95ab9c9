from lambda_image.model.protocols import UncertainEngine


def test_an_engine_is_uncertain_by_its_method():
    class Certain:
        def predict(self, images, magnitudes): ...

    class Uncertain(Certain):
        def predict_with_errors(self, images, magnitudes): ...

    assert not isinstance(Certain(), UncertainEngine)
    assert isinstance(Uncertain(), UncertainEngine)
