#!/usr/bin/env bash
# Build the serving image and push it, unless an image with its tag is in the repository already: tags are immutable, and
# a stack that rolls back or is deployed again asks for a tag it had before. CodeBuild runs this file as one command, since
# each command of a buildspec is a shell of its own, in which `exit 0` skips nothing that follows.
#
#   REPOSITORY       name of the ECR repository
#   REPOSITORY_URI   its URI
#   IMAGE_TAG        tag of the image, a hash of the build context
#   RETRY_SECONDS    pause before the second attempt (default 10), twice as long before the third
set -euo pipefail

readonly image="${REPOSITORY_URI:?}:${IMAGE_TAG:?}"
readonly docker_manifest='application/vnd.docker.distribution.manifest.v2+json'

describe() {
  aws ecr describe-images --repository-name "${REPOSITORY:?}" --image-ids "imageTag=$IMAGE_TAG" "$@"
}

log_in() {
  aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY_URI%%/*}" || return
  # The base image's registry lets strangers pull once a second and address, and CodeBuild's addresses are shared.
  aws ecr-public get-login-password --region us-east-1 | docker login --username AWS --password-stdin public.ecr.aws ||
    echo 'no login at public.ecr.aws; pulling the base image without one'
}

# SageMaker takes Docker manifests only: attestations and OCI output would make an index of another type.
build_and_push() {
  docker buildx build --platform linux/amd64 --provenance=false --sbom=false --output type=docker \
    --file inference/Dockerfile --tag "$image" . &&
    docker push "$image"
}

pause="${RETRY_SECONDS:-10}"
for attempt in 1 2 3; do
  if describe >/dev/null 2>&1; then
    echo "$image is in the repository already"
    exit 0
  fi
  if log_in && build_and_push; then
    found=$(describe --query 'imageDetails[0].imageManifestMediaType' --output text)
    if [ "$found" != "$docker_manifest" ]; then
      echo "$image was pushed as $found, and SageMaker takes $docker_manifest only; see docker buildx build --output"
      exit 1
    fi
    exit 0
  fi
  echo "attempt $attempt of 3 to build and push $image failed"
  if [ "$attempt" -lt 3 ]; then
    sleep "$pause"
    pause=$((pause * 2))
  fi
done
exit 1
