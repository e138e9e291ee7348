"""A synthesised template, with CloudFormation's functions evaluated for one account and region."""

from __future__ import annotations

import json
from typing import Any

ACCOUNT = "123456789012"
REGION = "eu-west-1"
_PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "Whippet-dev",
}


def listed(value: Any) -> list[str]:
    """Actions or resources of a statement, of which a single one may stand without a list."""
    return value if isinstance(value, list) else [value]


class Template:
    """Resources by type, and their values as CloudFormation would evaluate them."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.resources: dict[str, dict[str, Any]] = body["Resources"]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: item for name, item in self.resources.items() if item["Type"] == kind}

    def only(self, kind: str) -> dict[str, Any]:
        found = self.of_type(kind)
        assert len(found) == 1, f"{kind}: {sorted(found)}"
        properties: dict[str, Any] = next(iter(found.values()))["Properties"]
        return properties

    def function(self, name: str) -> dict[str, Any]:
        """Properties of the Lambda function whose code is the folder `lambda/<name>`."""
        for item in self.of_type("AWS::Lambda::Function").values():
            if item["Properties"]["Handler"] == f"{name}.handler.handler":
                properties: dict[str, Any] = item["Properties"]
                return properties
        raise AssertionError(f"no function {name}")

    def definition(self) -> dict[str, Any]:
        """The state machine's definition."""
        text = self.value(self.only("AWS::StepFunctions::StateMachine")["DefinitionString"])
        definition: dict[str, Any] = json.loads(text)
        return definition

    def statements(self) -> list[tuple[str, dict[str, Any]]]:
        """Every allowing statement of every policy, with the policy's logical id."""
        return [
            (name, self.value(statement))
            for name, item in self.of_type("AWS::IAM::Policy").items()
            for statement in item["Properties"]["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Allow"
        ]

    def value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), *_ = value.items()
            if function == "Ref":
                return self._ref(argument)
            if function.startswith("Fn::"):
                return self._function(function, argument)
        return {key: self.value(item) for key, item in value.items()}

    def _function(self, function: str, argument: Any) -> Any:
        if function == "Fn::Join":
            return argument[0].join(self.value(item) for item in argument[1])
        if function == "Fn::GetAtt":
            return self._attribute(argument[0], argument[1])
        if function == "Fn::FindInMap":
            name, first, second = (self.value(item) for item in argument)
            return self.body["Mappings"][name][first][second]
        if function == "Fn::Sub":
            text = argument
            for name, value in _PSEUDO.items():
                text = text.replace(f"${{{name}}}", value)
            return text
        if function == "Fn::Select":
            return self.value(argument[1])[int(argument[0])]
        if function == "Fn::Split":
            return self.value(argument[1]).split(argument[0])
        raise AssertionError(f"{function} is not evaluated here")

    def _ref(self, name: str) -> str:
        if name in _PSEUDO:
            return _PSEUDO[name]
        kind = self.resources.get(name, {}).get("Type", "")
        if kind == "AWS::S3::Bucket":
            return "data-bucket"
        if kind in ("AWS::StepFunctions::StateMachine", "AWS::SNS::Topic"):
            return self._attribute(name, "Arn")
        return name

    def _attribute(self, name: str, attribute: str) -> str:
        services = {
            "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{name}",
            "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
            "AWS::S3::Bucket": "arn:aws:s3:::data-bucket",
            "AWS::ECR::Repository": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}",
            "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}",
            "AWS::CodeBuild::Project": f"arn:aws:codebuild:{REGION}:{ACCOUNT}:project/{name}",
            "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}",
            "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:*",
        }
        if attribute == "ImageUri":
            return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/whippet-dev-serving:abc"
        return services.get(self.resources[name]["Type"], f"{name}.{attribute}")
