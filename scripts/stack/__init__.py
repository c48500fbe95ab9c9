"""The stack on AWS: `cosmicai deploy` and `cosmicai destroy`. The templates lie in statemachine/stack/."""
