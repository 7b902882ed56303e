"""What tests share: small data and configs, other implementations to compare with."""
