"""Smithers: a durable runtime for long-running AI coding agents."""
