"""What the page's scripts ask of the server beside Streamlit: points, tables, slices of a trace."""
