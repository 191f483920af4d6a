"""Studies: data in, one frozen result out."""
