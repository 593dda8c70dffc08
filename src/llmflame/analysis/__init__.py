"""What a profile means: pure functions from its tables to trees and numbers."""
