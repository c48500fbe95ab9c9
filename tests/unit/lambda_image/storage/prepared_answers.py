"""What a healthy endpoint does not answer."""

from botocore.exceptions import ClientError

BUCKET = "cosmic"


class PreparedAnswers:
    """A client whose answers are prepared: error codes are raised, all else is returned."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def _answer(self, **_arguments: object) -> object:
        answer = self._answers.pop(0)
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": ""}}, "operation")
        return answer

    put_object = get_object = head_object = list_objects_v2 = _answer
