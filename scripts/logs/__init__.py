"""What Lambda reports of each invocation, from CloudWatch or from files that were exported of it."""
