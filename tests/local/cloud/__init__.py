"""Tests of ministack with the changes of local/cloud, over HTTP; the account of the tests is in `conftest`."""
