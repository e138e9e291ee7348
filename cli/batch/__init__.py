"""`whippet classify FOLDER` and `whippet classify s3://…`: many photos in one batch transform job."""
