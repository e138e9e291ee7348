"""What an account says no to: faults on demand, quotas, names that stay taken, and resources that take their time."""

from local.sagemaker.account.account import Account
from local.sagemaker.account.document import AccountDocument, DocumentError, parse_document
from local.sagemaker.account.faults import FaultError, Faults, LostAnswerError

__all__ = ["Account", "AccountDocument", "DocumentError", "FaultError", "Faults", "LostAnswerError", "parse_document"]
